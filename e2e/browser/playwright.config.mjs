import { defineConfig } from '@playwright/test'

// The browser is the system's Chromium; TOKENOS_CHROMIUM names it. It runs as root
// in CI, where its sandbox does not, and calls nobody by itself.
export default defineConfig({
  testDir: '.',
  testMatch: '*.spec.mjs',
  outputDir: process.env.TOKENOS_BROWSER_OUTPUT,
  workers: 1,
  timeout: 30_000,
  forbidOnly: true,
  reporter: [['line']],
  use: {
    baseURL: process.env.TOKENOS_DASHBOARD,
    launchOptions: {
      executablePath: process.env.TOKENOS_CHROMIUM,
      timeout: 60_000,
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    },
  },
})
