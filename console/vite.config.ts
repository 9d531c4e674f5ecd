// Builds the console into files that run under `Content-Security-Policy: default-src 'self'`:
// nothing inline, no data: addresses, relative paths so that any mount point works.
import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  build: {
    // The browsers that have Ed25519 in WebCrypto, which the receipt check needs anyway.
    target: ["chrome137", "edge137", "firefox129", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: { proxy: { "/api": "http://127.0.0.1:8420" } },
});
