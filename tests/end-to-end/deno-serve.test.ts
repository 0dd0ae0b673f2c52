import assert from "node:assert/strict";
import { test } from "node:test";
import { CLINIC_KEY, deploy } from "../support/deployment.ts";
import { skipWithoutBroker } from "../support/queue.ts";

test("every HTTP service answers under `deno serve`", { skip: skipWithoutBroker() }, async () => {
  const { urls, dispatcherUrl, output } = await deploy("deno serve", { replicasOfEach: 1 });
  assert.equal(urls().length, 4);
  for (const url of urls()) {
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    assert.match(await (await fetch(`${url}/metrics`)).text(), /# TYPE/);
  }
  const unknown = await fetch(`${dispatcherUrl}/v1/notifications?reference=none`, {
    headers: { authorization: `Bearer ${CLINIC_KEY}` },
  });
  assert.equal(unknown.status, 200, output());
});
