import { z } from "zod";
import { type Operation, OPERATIONS, type SchemaName, SCHEMAS } from "./api-operations.ts";
import { IdempotencyKey, ListQuery } from "./notification-routes.ts";
import { type ProblemCode, PROBLEMS } from "./problem.ts";

export type JsonSchema = {
  $ref?: string;
  type?: string | string[];
  description?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  enum?: string[];
  [keyword: string]: unknown;
};

const schemaRef = (name: SchemaName) => ({ $ref: `#/components/schemas/${name}` });

/** OpenAPI 3.1, from the schemas that check the requests. */
export function describeApi({ publicUrl }: { publicUrl: string }) {
  const paths: Record<string, Record<string, ReturnType<typeof describeOperation>>> = {};
  for (const operation of OPERATIONS) {
    paths[operation.path] = {
      ...paths[operation.path],
      [operation.method]: describeOperation(operation),
    };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Carillon Notification Dispatcher",
      version: "1",
      description: "Tells patients about their appointments, by email and text message.",
    },
    servers: [{ url: publicUrl }],
    paths,
    components: {
      schemas: describeSchemas(),
      securitySchemes: {
        key: { type: "http", scheme: "bearer", description: "A client's API key" },
        twilio: {
          type: "apiKey",
          in: "header",
          name: "x-twilio-signature",
          description: "Twilio's signature of the URL and the form",
        },
      },
    },
  };
}
export type ApiDocument = ReturnType<typeof describeApi>;

function describeSchemas(): Record<string, JsonSchema> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(SCHEMAS)) registry.add(schema, { id });
  const uri = (id: string) => schemaRef(id as SchemaName).$ref;
  const { schemas } = z.toJSONSchema(registry, { io: "input", uri });
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $id: _, $schema: __, ...schema }]) => [
      id,
      schema as JsonSchema,
    ]),
  );
}

function describeOperation(operation: Operation) {
  const { path, summary, caller, request, answer, problems } = operation;
  return {
    summary,
    ...caller !== "anybody" && { security: [{ [caller ?? "key"]: [] }] },
    parameters: [...pathParameters(path), ...otherParameters(operation)],
    ...request && {
      requestBody: {
        required: request.required,
        content: {
          "application/json": {
            schema: schemaRef(request.schema),
            ...exampleOf(request.schema),
          },
        },
      },
    },
    responses: { [answer.status]: describeAnswer(answer), ...describeProblems(problems) },
  };
}

function pathParameters(path: string) {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" } as JsonSchema,
  }));
}

function otherParameters({ idempotent, query }: Operation) {
  const fields = {
    ...idempotent && { "Idempotency-Key": ["header", IdempotencyKey] as const },
    ...query && Object.fromEntries(
      Object.entries(ListQuery.shape).map(([name, schema]) => [name, ["query", schema] as const]),
    ),
  };
  return Object.entries(fields).map(([name, [where, schema]]) => {
    const { $schema: _, ...described } = z.toJSONSchema(schema, { io: "input" }) as JsonSchema;
    return { name, in: where, required: false, schema: described };
  });
}

function exampleOf(name: SchemaName) {
  const [example] = (SCHEMAS[name].meta()?.examples ?? []) as unknown[];
  return example === undefined ? {} : { example };
}

function describeAnswer({ schema, type = "application/json", description }: Operation["answer"]) {
  if (schema === undefined && type === "application/json") return { description };
  const content = schema === undefined ? {} : { schema: schemaRef(schema) };
  return { description, content: { [type]: content } };
}

/** By status: several codes may share one. */
function describeProblems(codes: readonly ProblemCode[]) {
  const byStatus = Map.groupBy(codes, (code) => PROBLEMS[code].status);
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [status, {
      description: codes.map((code) => `${code}: ${PROBLEMS[code].title}`).join(". "),
      content: { "application/problem+json": { schema: schemaRef("Problem") } },
      ...(status === 429 || status === 503) && {
        headers: { "Retry-After": { schema: { type: "integer" }, description: "Seconds" } },
      },
    }]),
  );
}
