// Example values of a JSON Schema whose references are resolved.

const DEEPEST = 5; // a model may hold itself

const TEXTS = {
  "date-time": () => new Date().toISOString(),
  date: () => new Date().toISOString().slice(0, 10),
  time: () => "12:00:00",
  duration: () => "PT1M",
  uuid: () => "00000000-0000-4000-8000-000000000000",
  email: () => "somebody@example.org",
  uri: () => "https://example.org/",
};

const number = ({ minimum, exclusiveMinimum, maximum }) =>
  minimum ?? (exclusiveMinimum === undefined ? Math.min(1, maximum ?? 1) : exclusiveMinimum + 1);

const MAKE = {
  null: () => null,
  boolean: () => true,
  integer: number,
  number,
  string: ({ format, minLength = 0 }) => TEXTS[format]?.() ?? "text".padEnd(minLength, "."),
  array: ({ items, minItems = 0 }, depth) => {
    if (Array.isArray(items)) return items.map((each) => sample(each, depth + 1));
    return items && (minItems || depth < 2) ? [sample(items, depth + 1)] : [];
  },
  object: ({ properties = {}, required = [] }, depth) => {
    const wanted = Object.entries(properties).filter(([name]) => depth < 2 || required.includes(name));
    return Object.fromEntries(wanted.map(([name, each]) => [name, sample(each, depth + 1)]));
  },
};

/** A value that fits, as far as such a thing can be made up: an example of the author before one of ours. */
export function sample(schema, depth = 0) {
  if (typeof schema !== "object" || schema === null || depth > DEEPEST) return null;
  if (schema.examples?.length) return schema.examples[0];
  if ("default" in schema) return schema.default;
  if ("const" in schema) return schema.const;
  if (schema.enum?.length) return schema.enum[0];
  const [choice] = schema.anyOf ?? schema.oneOf ?? [];
  if (choice) return sample(choice, depth);
  if (schema.allOf) return sample(schema.allOf[0], depth);
  const type = [schema.type ?? (schema.properties ? "object" : undefined)].flat()[0];
  return MAKE[type]?.(schema, depth) ?? (type === "null" ? null : {});
}
