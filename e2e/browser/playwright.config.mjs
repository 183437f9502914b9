import { defineConfig } from '@playwright/test'

// The browser is the system's Chromium; TOKENOS_CHROMIUM names it. It runs as root
// in CI, where its sandbox does not, and calls nobody by itself.
export default defineConfig({
  testDir: '.',
  testMatch: '*.spec.mjs',
  outputDir: process.env.TOKENOS_BROWSER_OUTPUT,
  workers: 1,
  timeout: 60_000,
  expect: { timeout: 15_000 }, // beside all the other tests
  forbidOnly: true,
  reporter: [['line']],
  use: {
    baseURL: JSON.parse(process.env.TOKENOS_DEV).api_url,
    ignoreHTTPSErrors: 'NODE_EXTRA_CA_CERTS' in process.env, // Chromium takes no certificate by a variable
    launchOptions: {
      executablePath: process.env.TOKENOS_CHROMIUM,
      timeout: 60_000,
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    },
  },
})
