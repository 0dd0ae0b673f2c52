import { createHash, createPrivateKey } from "node:crypto";
import { z } from "zod";

export type SigningKey = {
  key: CryptoKey;
  /** How the server finds the public key: the JWK's own `kid`, else its thumbprint (RFC 7638). */
  kid: string;
};

// The two algorithms that SMART asks of every server
const Jwk = z.discriminatedUnion("kty", [
  z.object({
    kty: z.literal("RSA"),
    kid: z.string().optional(),
    ...requiredStrings("n", "e", "d", "p", "q", "dp", "dq", "qi"),
  }),
  z.object({
    kty: z.literal("EC"),
    crv: z.literal("P-384"),
    kid: z.string().optional(),
    ...requiredStrings("x", "y", "d"),
  }),
]);
type Jwk = z.infer<typeof Jwk>;

/** Reads a private key, PEM or JWK: RSA for RS384, or P-384 for ES384. Null when it is none. */
export async function readSigningKey(text: string): Promise<SigningKey | null> {
  try {
    const { kid, ...jwk } = Jwk.parse(
      text.trimStart().startsWith("{")
        ? JSON.parse(text)
        : createPrivateKey(text).export({ format: "jwk" }),
    );
    const algorithm = jwk.kty === "RSA"
      ? { name: "RSASSA-PKCS1-v1_5", hash: "SHA-384" }
      : { name: "ECDSA", namedCurve: jwk.crv };
    const key = await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["sign"]);
    return { key, kid: kid ?? thumbprint(jwk) };
  } catch {
    return null; // The reasons may quote the key
  }
}

function thumbprint(jwk: Jwk): string {
  const members = jwk.kty === "RSA"
    ? { e: jwk.e, kty: jwk.kty, n: jwk.n }
    : { crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y };
  return createHash("sha256").update(JSON.stringify(members)).digest("base64url");
}

function requiredStrings<Name extends string>(...names: Name[]): Record<Name, z.ZodString> {
  return Object.fromEntries(names.map((name) => [name, z.string()])) as Record<Name, z.ZodString>;
}
