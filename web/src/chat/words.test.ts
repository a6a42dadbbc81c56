import { describe, expect, it } from "vitest";
import { asSentence, closeOpen, plainLine } from "./words";

describe("text that is being written", () => {
  it.each([
    ["*sets the", "*sets the*"],
    ["*sets the kettle* Tea", "*sets the kettle* Tea"],
    ["**Not", "**Not**"],
    ["*a **b", "*a **b***"],
    ["Then *", "Then"],
    ["one *two* and **", "one *two* and"],
    ["*first*\nthen *second", "*first*\nthen *second*"],
    ["plain", "plain"],
    ["* a list", "* a list"],
  ])("%j shows as %j", (text, shown) => {
    expect(closeOpen(text)).toBe(shown);
  });

  it("is left alone once its stars are closed", () => {
    const whole = "*nods* Yes. **No.** *Maybe.*";
    for (let end = 0; end <= whole.length; end += 1) closeOpen(whole.slice(0, end));
    expect(closeOpen(whole)).toBe(whole);
  });
});

describe("a line for a list", () => {
  it("has no signs and one line", () => {
    expect(plainLine("*nods*\n\n**Yes.** See [here](https://a.example) ![x](y)")).toBe(
      "nods Yes. See here",
    );
  });
});

describe("a server's reason", () => {
  it.each([
    ["the engine went away", "The engine went away."],
    ["Try again shortly.", "Try again shortly."],
  ])("%j reads %j", (given, read) => {
    expect(asSentence(given)).toBe(read);
  });
});
