import assert from "node:assert/strict";
import { test } from "node:test";
import { CLINIC_KEY, deploy, REPLICATED } from "../support/deployment.ts";
import { skipWithoutBroker } from "../support/queue.ts";

test("every HTTP service answers under `deno serve`", { skip: skipWithoutBroker() }, async () => {
  const { replicas, dispatcherUrl, output } = await deploy({
    runtime: "deno serve",
    replicasOfEach: 1,
  });
  const services = REPLICATED.flatMap(replicas);
  assert.equal(services.length, 4);
  for (const { url } of services) {
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    assert.match(await (await fetch(`${url}/metrics`)).text(), /# TYPE/);
  }
  const unknown = await fetch(`${dispatcherUrl}/v1/notifications?reference=none`, {
    headers: { authorization: `Bearer ${CLINIC_KEY}` },
  });
  assert.equal(unknown.status, 200, output());
});
