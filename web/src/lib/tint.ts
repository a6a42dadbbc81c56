/** A character's tint: taken from its avatar once, kept on the device, from its name until then. */
import { useEffect, useState, type CSSProperties } from "react";
import { dominantHue, hueOfName, tintOf, type Tint } from "./color";
import { readStored, writeStored } from "./storage";

const SIDE = 32; // pixels of the picture that is looked at

const isTint = (value: unknown): value is Tint =>
  typeof value === "object" && value !== null && "light" in value && "dark" in value;

const seen = new Map<string, Promise<Tint | null>>();

/** CSS that sets `--tint` for what is inside. */
export function useTint(name: string, avatar: string): CSSProperties {
  const [found, setFound] = useState<{ avatar: string; tint: Tint } | null>(null);
  useEffect(() => {
    if (avatar === "") return;
    let left = false;
    void tintFromPicture(avatar).then((tint) => {
      if (!left && tint !== null) setFound({ avatar, tint });
    });
    return () => {
      left = true;
    };
  }, [avatar]);
  const tint =
    found?.avatar === avatar
      ? found.tint
      : (readStored<Tint | null>(keyOf(avatar), null, isTint) ?? tintOf(hueOfName(name)));
  return tintStyle(tint);
}

export function tintStyle(tint: Tint): CSSProperties {
  return { "--tint": `light-dark(${tint.light}, ${tint.dark})` } as CSSProperties;
}

const keyOf = (avatar: string) => `troupe.tint.${avatar}`;

function tintFromPicture(avatar: string): Promise<Tint | null> {
  let tint = seen.get(avatar);
  if (tint === undefined) {
    tint = lookAt(avatar);
    seen.set(avatar, tint);
  }
  return tint;
}

async function lookAt(avatar: string): Promise<Tint | null> {
  const image = new Image();
  image.src = avatar;
  try {
    await image.decode();
  } catch {
    return null; // no such picture: the tint of the name stays
  }
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) return null;
  context.drawImage(image, 0, 0, SIDE, SIDE);
  const hue = dominantHue(context.getImageData(0, 0, SIDE, SIDE).data);
  if (hue === null) return null;
  const tint = tintOf(hue.hue, hue.chroma);
  writeStored(keyOf(avatar), tint);
  return tint;
}
