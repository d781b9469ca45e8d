// Reads a ScaledObject as JSON from standard input and prints what KEDA's own schema finds, a JSON list.
import { readFileSync } from "node:fs";
import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";

const faults = [];
try {
  new ScaledObject(JSON.parse(readFileSync(0, "utf8"))).validate();
} catch (error) {
  faults.push(error.message);
}
process.stdout.write(JSON.stringify(faults));
