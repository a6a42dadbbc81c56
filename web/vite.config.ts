/** How the app is built: into the Python package, so that a wheel holds it. */
import react from "@vitejs/plugin-react";
import tailwindcss from "@tailwindcss/vite";
import { defineConfig } from "vitest/config";
import { compress } from "./compress.ts";

const backend = process.env["TROUPE_URL"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react(), tailwindcss(), compress()],
  build: {
    outDir: "../src/troupe/web_dist",
    emptyOutDir: true,
    assetsInlineLimit: 0, // a strict content security policy allows no data: scripts or fonts
    target: "baseline-widely-available",
  },
  server: {
    proxy: {
      "/api": backend,
      "/media": backend,
      "/chat/v1": { target: backend, ws: true },
    },
  },
  test: { environment: "jsdom", include: ["src/**/*.test.{ts,tsx}"] },
});
