import { describe, expect, it } from "vitest";
import { contrast, DEEP, dominantHue, hueOfName, PAPER, tintOf, type Rgb } from "./color";

const rgb = (css: string): Rgb => {
  const [r = 0, g = 0, b = 0] = (css.match(/\d+/gu) ?? []).map(Number);
  return [r, g, b];
};

const filled = (...colours: Rgb[]) =>
  colours.flatMap(([r, g, b]) => Array<number[]>(50).fill([r, g, b, 255]).flat());

describe("contrast", () => {
  it("is that of WCAG", () => {
    expect(contrast([0, 0, 0], [255, 255, 255])).toBeCloseTo(21, 5);
    expect(contrast([119, 119, 119], [255, 255, 255])).toBeCloseTo(4.48, 2);
  });
});

describe("a tint", () => {
  it("can be read on both pages, whatever its hue and strength", () => {
    for (let hue = 0; hue < 360; hue += 3) {
      for (const chroma of [0, 0.05, 0.1, 0.15, 0.25]) {
        const { light, dark } = tintOf(hue, chroma);
        expect(contrast(rgb(light), PAPER)).toBeGreaterThanOrEqual(4.5);
        expect(contrast(rgb(dark), DEEP)).toBeGreaterThanOrEqual(4.5);
      }
    }
  });

  it("stays with a name", () => {
    expect(hueOfName("Mira Vale")).toBe(hueOfName(" mira vale "));
    expect(hueOfName("Mira Vale")).not.toBe(hueOfName("Tock"));
  });
});

describe("a picture's hue", () => {
  it("is that of its strongest colour", () => {
    const blue = dominantHue(filled([40, 60, 200], [128, 128, 128], [200, 200, 200]));
    expect(blue?.hue).toBeGreaterThan(240);
    expect(blue?.hue).toBeLessThan(290);
  });

  it("is none for greys and for nothing", () => {
    expect(dominantHue(filled([10, 10, 10], [200, 200, 200]))).toBeNull();
    expect(dominantHue([])).toBeNull();
    expect(dominantHue([255, 0, 0, 0])).toBeNull();
  });
});
