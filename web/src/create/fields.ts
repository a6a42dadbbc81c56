/** What a character is written with: the form's values, their limits, and checks. Pure. */
import type { Character, CharacterFields } from "../api/types";

export const LIMITS = {
  least_name: 3,
  name: 50,
  tagline: 120,
  description: 2_000,
  greeting: 4_096,
  definition: 32_000,
  example_dialogues: 16_000,
  greetings: 20,
  tags: 20,
} as const;

export const EMPTY: CharacterFields = {
  name: "",
  tagline: "",
  description: "",
  greeting: "",
  alternate_greetings: [],
  definition: "",
  example_dialogues: "",
  tags: [],
  visibility: "public",
};

export function fieldsOf(character: Character): CharacterFields {
  const { name, tagline, description, greeting, alternate_greetings } = character;
  const { definition, example_dialogues, tags, visibility } = character;
  return {
    name,
    tagline,
    description,
    greeting,
    alternate_greetings,
    definition,
    example_dialogues,
    tags,
    visibility,
  };
}

/**
 * What is wrong with the fields, by name. Imported cards may be longer than what is written here:
 * a text that did not change is not held to the limits.
 */
export function problems(fields: CharacterFields, before: CharacterFields): Record<string, string> {
  const found: Record<string, string> = {};
  if (fields.name !== before.name && lengthOf(fields.name.trim()) < LIMITS.least_name) {
    found["name"] = `A name of at least ${LIMITS.least_name} characters.`;
  }
  if (fields.name.trim() === "") found["name"] = "Give the character a name.";
  const texts = [
    "name",
    "tagline",
    "description",
    "greeting",
    "definition",
    "example_dialogues",
  ] as const;
  for (const field of texts) {
    if (fields[field] !== before[field] && lengthOf(fields[field]) > LIMITS[field]) {
      found[field] = `At most ${LIMITS[field].toLocaleString()} characters.`;
    }
  }
  const known = new Set(before.alternate_greetings);
  const tooLong = (text: string) => !known.has(text) && lengthOf(text) > LIMITS.greeting;
  if (fields.alternate_greetings.some(tooLong)) {
    found["alternate_greetings"] = `At most ${LIMITS.greeting.toLocaleString()} characters each.`;
  }
  if (fields.tags.length > LIMITS.tags) found["tags"] = `At most ${LIMITS.tags} tags.`;
  return found;
}

/** Characters as people count them, and as the server does. */
export function lengthOf(text: string): number {
  return Array.from(text).length;
}

/** Tags as they are typed: words between commas. */
export function tagsFrom(text: string): string[] {
  const tags = text
    .split(",")
    .map((tag) => tag.trim())
    .filter((tag) => tag !== "");
  return [...new Set(tags)];
}

/** The fields as they are sent: without the spaces and empty greetings that typing leaves. */
export function tidied(fields: CharacterFields): CharacterFields {
  return {
    ...fields,
    name: fields.name.trim(),
    tagline: fields.tagline.trim(),
    alternate_greetings: fields.alternate_greetings.filter((text) => text.trim() !== ""),
  };
}

/** Only what differs from before: a version is made of changes. */
export function changes(
  fields: CharacterFields,
  before: CharacterFields,
): Partial<CharacterFields> {
  return Object.fromEntries(
    Object.entries(fields).filter(
      ([name, value]) =>
        JSON.stringify(value) !== JSON.stringify(before[name as keyof CharacterFields]),
    ),
  );
}
