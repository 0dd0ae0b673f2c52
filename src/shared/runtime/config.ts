import { readFileSync } from "node:fs";
import { z } from "zod";

export type Environment = Record<string, string | undefined>;

// One piece for each resource. A service composes exactly the pieces it uses.
export const processConfig = z.object({
  LOG_LEVEL: z.enum(["debug", "info", "warn", "error"]).default("info"),
});
export const httpConfig = z.object({
  PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
});
export const databaseConfig = z.object({
  DATABASE_URL: z.url({
    protocol: /^postgres(ql)?$/,
    error: "expected a URL such as postgres://user:password@host:5432/carillon",
  }),
});
export const brokerConfig = z.object({
  AMQP_URL: z.url({
    protocol: /^amqps?$/,
    error: "expected a URL such as amqp://user:password@host:5672/notifications",
  }),
});
export const clinicsConfig = z.object({
  CONFIG_DIR: z.string().min(1).default("gitops/base/config"),
});
/** Where the Ingress answers, as patients and providers see it. */
export const publicConfig = z.object({
  PUBLIC_URL: z.url({
    protocol: /^https?$/,
    error: "expected the public address, such as https://notify.example.org",
  }).transform((url) => url.replace(/\/$/, "")),
});

/**
 * Reads the environment, once, in a service's main.ts. Reports every problem, not just the first.
 *
 * Any NAME may be given as NAME_FILE, the path of a file that holds the value: how Kubernetes mounts a secret.
 * Values never appear in the error, for they are secrets.
 */
export function parseConfig<Schema extends z.ZodObject>(
  schema: Schema,
  environment: Environment,
): z.infer<Schema> {
  const problems: string[] = [];
  const values: Environment = {};
  for (const name of Object.keys(schema.shape)) {
    const value = environment[name];
    const file = environment[`${name}_FILE`];
    if (value !== undefined && value !== "") values[name] = value;
    else if (file !== undefined && file !== "") {
      try {
        values[name] = readFileSync(file, "utf8").trimEnd();
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        problems.push(`${name}_FILE: cannot read "${file}": ${code}`);
        continue;
      }
    }
  }
  const result = schema.safeParse(values);
  for (const issue of result.error?.issues ?? []) {
    const name = String(issue.path[0] ?? "environment");
    if (environment[`${name}_FILE`] !== undefined && values[name] === undefined) continue;
    problems.push(`${name}: ${values[name] === undefined ? "is not set" : issue.message}`);
  }
  if (problems.length === 0 && result.success) return result.data;
  throw new Error(`Cannot start with this environment:\n  ${problems.join("\n  ")}`);
}
