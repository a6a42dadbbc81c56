/** Colours: sRGB, OKLCH and WCAG contrast, and the tint that fits a hue. Pure. */

export type Rgb = readonly [number, number, number]; // 0 to 255

export const PAPER: Rgb = [250, 248, 245];
export const DEEP: Rgb = [19, 19, 20];
const AA = 4.5;

export interface Tint {
  light: string;
  dark: string;
}

const toLinear = (c: number) => {
  const x = c / 255;
  return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
};
const toSrgb = (x: number) => {
  const c = x <= 0.0031308 ? x * 12.92 : 1.055 * x ** (1 / 2.4) - 0.055;
  return Math.round(Math.min(1, Math.max(0, c)) * 255);
};

/** Relative luminance (WCAG 2.2). */
export function luminance([r, g, b]: Rgb): number {
  return 0.2126 * toLinear(r) + 0.7152 * toLinear(g) + 0.0722 * toLinear(b);
}

/** Contrast ratio, 1 to 21 (WCAG 2.2). */
export function contrast(a: Rgb, b: Rgb): number {
  const [x, y] = [luminance(a), luminance(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}

/** OKLCH to sRGB, clipped to the gamut (Björn Ottosson, "A perceptual color space"). */
export function fromOklch(lightness: number, chroma: number, hue: number): Rgb {
  const angle = (hue * Math.PI) / 180;
  const [a, b] = [chroma * Math.cos(angle), chroma * Math.sin(angle)];
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    toSrgb(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    toSrgb(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    toSrgb(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

/** Chroma and hue (degrees) of a colour in OKLCH. */
export function chromaHue([red, green, blue]: Rgb): { chroma: number; hue: number } {
  const [r, g, b] = [toLinear(red), toLinear(green), toLinear(blue)];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  const a = 1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s;
  const bb = 0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s;
  return { chroma: Math.hypot(a, bb), hue: ((Math.atan2(bb, a) * 180) / Math.PI + 360) % 360 };
}

/** A tint of this hue that can be read (4.5:1) on the light and on the dark page. */
export function tintOf(hue: number, chroma = 0.13): Tint {
  return {
    light: css(readable(hue, chroma, PAPER, 0.56, -0.01)),
    dark: css(readable(hue, chroma * 0.85, DEEP, 0.74, 0.01)),
  };
}

function readable(hue: number, chroma: number, page: Rgb, start: number, step: number): Rgb {
  let lightness = start;
  let color = fromOklch(lightness, chroma, hue);
  while (contrast(color, page) < AA && lightness > 0 && lightness < 1) {
    lightness += step;
    color = fromOklch(lightness, chroma, hue);
  }
  return color;
}

/** A hue that stays with a name. */
export function hueOfName(name: string): number {
  let hash = 2166136261; // FNV-1a
  for (const char of name.trim().toLowerCase()) {
    hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 16777619);
  }
  return (hash >>> 0) % 360;
}

/**
 * The hue that a picture is remembered by: the strongest of 24 buckets, each pixel weighed by its
 * chroma. `null` when the picture has no colour. `pixels` is RGBA as a canvas gives it.
 */
export function dominantHue(pixels: ArrayLike<number>): { hue: number; chroma: number } | null {
  const weight = new Float64Array(24);
  const x = new Float64Array(24);
  const y = new Float64Array(24);
  let total = 0;
  for (let i = 0; i + 3 < pixels.length; i += 4) {
    if ((pixels[i + 3] ?? 0) < 128) continue;
    const { chroma, hue } = chromaHue([pixels[i] ?? 0, pixels[i + 1] ?? 0, pixels[i + 2] ?? 0]);
    total += 1;
    if (chroma < 0.03) continue;
    const skin = hue > 35 && hue < 75 && chroma < 0.11 ? 0.35 : 1; // faces are all alike
    const bucket = Math.floor(hue / 15) % 24;
    const w = chroma * skin;
    weight[bucket] = (weight[bucket] ?? 0) + w;
    x[bucket] = (x[bucket] ?? 0) + w * Math.cos((hue * Math.PI) / 180);
    y[bucket] = (y[bucket] ?? 0) + w * Math.sin((hue * Math.PI) / 180);
  }
  const best = weight.indexOf(Math.max(...weight));
  const strength = weight[best] ?? 0;
  if (total === 0 || strength / total < 0.005) return null;
  const hue = ((Math.atan2(y[best] ?? 0, x[best] ?? 0) * 180) / Math.PI + 360) % 360;
  return { hue, chroma: Math.min(0.15, Math.max(0.07, (strength / total) * 3)) };
}

function css([r, g, b]: Rgb): string {
  return `rgb(${r} ${g} ${b})`;
}
