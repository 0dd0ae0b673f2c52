import { cleanLine } from "./personal-values.ts";
import type { Template } from "./read-templates.ts";

export const DATA_VALUE_MAX = 200;

export type DataProblem = { pointer: string; message: string };

/** Finds fields that are missing, unknown or of no use in a message. Pointers start at the request: /data/…. */
export function checkTemplateData(
  template: Pick<Template, "id" | "data">,
  data: Readonly<Record<string, unknown>>,
): DataProblem[] {
  const missing = Object.keys(template.data)
    .filter((field) => template.data[field] === "required" && data[field] === undefined)
    .map((field) => problem(field, `is missing: the template ${template.id} needs it`));
  const wrong = Object.entries(data).flatMap(([field, value]) => {
    if (!Object.hasOwn(template.data, field)) {
      return problem(field, `is not a field of the template ${template.id}`);
    }
    if (value === undefined || isUsable(value)) return [];
    return problem(field, `expected a number, or a text of 1 to ${DATA_VALUE_MAX} characters`);
  });
  return [...missing, ...wrong];
}

function isUsable(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  return typeof value === "string" && value.length <= DATA_VALUE_MAX && cleanLine(value) !== "";
}

function problem(field: string, message: string): DataProblem {
  const token = field.replaceAll("~", "~0").replaceAll("/", "~1");
  return { pointer: `/data/${token}`, message };
}
