/** A FHIR R4 resource as JSON. Only what the server itself needs is typed: anything may be put. */
export type Resource = {
  resourceType: string;
  id: string;
  meta: { versionId: string; lastUpdated: string };
  [element: string]: unknown;
};

/** `Patient/oak-p01` as a FHIR reference. */
export type Reference = { reference: string; display?: string };

export function referenceTo({ resourceType, id }: Resource): Reference {
  return { reference: `${resourceType}/${id}` };
}
