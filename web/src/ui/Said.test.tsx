import { cleanup, render } from "@testing-library/react";
import { afterEach, describe, expect, it } from "vitest";
import { Said } from "./Said";

afterEach(cleanup);

const html = (text: string) => render(<Said text={text} />).container;

describe("what somebody said", () => {
  it.each([
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    '<iframe src="https://a.example"></iframe>',
    "<svg onload=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "<style>*{display:none}</style>",
    "<form action=https://a.example><input></form>",
  ])("holds no raw HTML: %s", (text) => {
    const container = html(text);
    expect(container.querySelector("script, img, iframe, svg, a, style, form, input")).toBeNull();
    expect(container.textContent).toContain("<");
  });

  it.each([
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](vbscript:x)",
    "<javascript:alert(1)>",
  ])("links nowhere dangerous: %s", (text) => {
    const href = html(text).querySelector("a")?.getAttribute("href") ?? "";
    expect(href).not.toMatch(/^\s*(javascript|data|vbscript):/iu);
  });

  it("opens links elsewhere, telling nothing of us", () => {
    const link = html("[x](https://a.example/b)").querySelector("a");
    expect(link?.href).toBe("https://a.example/b");
    expect(link?.target).toBe("_blank");
    expect(link?.rel.split(" ")).toEqual(expect.arrayContaining(["noopener", "noreferrer"]));
  });

  it("only names a picture from elsewhere: fetching it would tell who reads", () => {
    const container = html("![a cat](https://a.example/cat.png)");
    expect(container.querySelector("img")).toBeNull();
    expect(container.querySelector("a")?.href).toBe("https://a.example/cat.png");
    expect(container.textContent).toContain("a.example");
  });

  it("shows a picture that our own server keeps", () => {
    expect(html("![a](/media/ab/cd.webp)").querySelector("img")).not.toBeNull();
  });

  it.each(["![a](//a.example/x.png)", "![a](/chat/v1/models)", "![a](/media/../api/v1/session)"])(
    "shows no other picture: %s",
    (text) => {
      expect(html(text).querySelector("img")).toBeNull();
    },
  );

  it("keeps actions, breaks and paragraphs", () => {
    const container = html("*nods* Yes.\nNo.\n\nMaybe.");
    expect(container.querySelector("em")?.textContent).toBe("nods");
    expect(container.querySelectorAll("p")).toHaveLength(2);
    expect(container.querySelector("br")).not.toBeNull();
  });
});
