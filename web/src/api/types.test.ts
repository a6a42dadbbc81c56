// @vitest-environment node
import { readFile } from "node:fs/promises";
import openapiTS, { astToString, COMMENT_HEADER } from "openapi-typescript";
import { expect, it } from "vitest";

it.each(["core", "chat"])("the types of %s are those of its OpenAPI document", async (name) => {
  const document = new URL(`../../openapi/${name}.json`, import.meta.url);
  const types = await openapiTS(document, { defaultNonNullable: false });
  const kept = await readFile(new URL(`./${name}.d.ts`, import.meta.url), "utf-8");
  expect(kept, "run: npm run gen").toBe(`${COMMENT_HEADER}${astToString(types)}`);
});
