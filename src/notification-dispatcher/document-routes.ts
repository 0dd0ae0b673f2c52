import { createHash } from "node:crypto";
import { Hono } from "hono";
import { DOCS_STYLE, renderDocs } from "./docs-page.ts";
import { describeApi } from "./openapi.ts";

/** The API's description, for programs and for people. */
export function createDocumentRoutes({ publicUrl }: { publicUrl: string }): Hono {
  const document = describeApi({ publicUrl });
  const style = createHash("sha256").update(DOCS_STYLE).digest("base64");
  const app = new Hono();

  app.get("/openapi.json", (c) => c.json(document));

  app.get("/docs", (c) => {
    c.header(
      "content-security-policy",
      `default-src 'none'; style-src 'sha256-${style}'; frame-ancestors 'none'; base-uri 'none'`,
    );
    return c.html(renderDocs(document));
  });

  return app;
}
