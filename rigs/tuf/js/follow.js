// A device with tuf-js: brings its metadata up to date, and downloads a target.
//   node follow.js METADATA_DIR IMAGES_DIR URL NAME     prints the octets; nothing if nobody announces them
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Updater } from "tuf-js";

const [metadataDir, targetDir, url, name] = process.argv.slice(2);
const updater = new Updater({
  metadataDir,
  targetDir,
  metadataBaseUrl: `${url}/metadata`,
  targetBaseUrl: `${url}/targets`,
});
await updater.refresh();
const about = await updater.getTargetInfo(name);
if (about) {
  const file = join(targetDir, "image");
  await updater.downloadTarget(about, file);
  process.stdout.write(readFileSync(file));
}
