// Reads a list of AsyncAPI documents from standard input and prints what the parser says of each.
import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';

const parser = new Parser();

async function judge(source) {
  const { document, diagnostics } = await parser.parse(source);
  const said = diagnostics.map(({ code, message, path }) => `${code}: ${message} (${path.join('.')})`);
  const told = (each) => [each.id(), each.action(), each.channels().all()[0].address()];
  return { valid: Boolean(document), said, operations: (document?.operations().all() ?? []).map(told) };
}

const found = [];
for (const each of JSON.parse(readFileSync(0, 'utf8'))) found.push(await judge(each));
process.stdout.write(JSON.stringify(found));
