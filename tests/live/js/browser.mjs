// Chromium as all scripts want it. Environment: CHROMIUM (program).
import { chromium } from 'playwright-core';

/** A browser that reaches `hosts` and no others. */
export const launch = (...hosts) =>
  chromium.launch({
    executablePath: process.env.CHROMIUM,
    timeout: 30_000,
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
      '--disable-background-networking', '--disable-component-update',
      `--host-resolver-rules=${['MAP * ~NOTFOUND', ...hosts.map((host) => `EXCLUDE ${host}`)].join(', ')}`,
    ],
  });
