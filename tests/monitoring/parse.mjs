// Parses LogQL and TraceQL with Grafana's own grammars. Reads a JSON list of {language, text} from stdin, writes a JSON list
// with the place of the first fault of each, or null.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const load = createRequire(pathToFileURL(`${process.argv[2]}/package.json`));
const parsers = { logql: load("@grafana/lezer-logql").parser, traceql: load("@grafana/lezer-traceql").parser };

function fault({ language, text }) {
  let place = null;
  parsers[language].parse(text).iterate({
    enter(node) {
      if (node.type.isError && place === null) place = node.from;
    },
  });
  return place;
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(fault)));
