// Shows bundles to the Sigstore packages of npm, as a program in JavaScript would use them.
//
//   node sigstore.mjs FOLDER verify  BUNDLE PUBLIC-KEY    prints {"hint": …}
//   node sigstore.mjs FOLDER rewrite BUNDLE               prints the bundle as npm writes it
//   node sigstore.mjs FOLDER sign    PAYLOAD PRIVATE-KEY  prints a bundle that npm made
//
// FOLDER holds node_modules. A bundle that is refused ends with exit code 3 and {"refused": …}.

import { createPrivateKey, createPublicKey, sign as signBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const REFUSED = 3;
const PAYLOAD_TYPE = 'application/vnd.in-toto+json';
const HINT = 'made by npm';

const [folder, command, file, keyFile] = process.argv.slice(2);
const load = createRequire(resolve(folder, 'package.json'));
const { bundleFromJSON, bundleToJSON, toDSSEBundle } = load('@sigstore/bundle');
const { dsse } = load('@sigstore/core');
const { TrustedRoot } = load('@sigstore/protobuf-specs');
const { Verifier, toSignedEntity, toTrustMaterial } = load('@sigstore/verify');

const readBundle = () => bundleFromJSON(JSON.parse(readFileSync(file, 'utf8')));

function verify() {
  const publicKey = createPublicKey(readFileSync(keyFile));
  const asked = [];
  const findKey = (hint) => {
    asked.push(hint);
    return { publicKey, validFor: () => true };
  };
  const trust = toTrustMaterial(TrustedRoot.fromJSON({}), findKey);
  const thresholds = { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 };
  new Verifier(trust, thresholds).verify(toSignedEntity(readBundle()));
  return { hint: asked[0] };
}

function rewrite() {
  return bundleToJSON(readBundle());
}

function sign() {
  const artifact = readFileSync(file);
  const message = dsse.preAuthEncoding(PAYLOAD_TYPE, artifact);
  const signature = signBytes('sha256', message, createPrivateKey(readFileSync(keyFile)));
  return bundleToJSON(
    toDSSEBundle({ artifact, artifactType: PAYLOAD_TYPE, signature, keyHint: HINT }),
  );
}

try {
  console.log(JSON.stringify({ verify, rewrite, sign }[command]()));
} catch (error) {
  // Their errors carry a name and most a code; anything else is a fault of this script.
  if (!['ValidationError', 'VerificationError'].includes(error.constructor.name)) throw error;
  console.log(JSON.stringify({ refused: error.code ?? error.constructor.name }));
  process.exitCode = REFUSED;
}
