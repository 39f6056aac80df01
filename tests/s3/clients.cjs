// The AWS SDK for JavaScript and the client of MinIO, with their defaults: put, get, list, parts, a signed link, delete.
"use strict";

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const aws = require("@aws-sdk/client-s3");
const minio = require("minio");

const url = new URL(process.env.URL);
const mount = process.env.MOUNT;
const credentials = {
  accessKeyId: process.env.AWS_ACCESS_KEY_ID,
  secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY,
};

async function withSdk() {
  const s3 = new aws.S3Client({ endpoint: url.href, region: "us-east-1", forcePathStyle: true, credentials });
  const Bucket = "javascript";
  const content = crypto.randomBytes(3_000_000);
  await s3.send(new aws.CreateBucketCommand({ Bucket }));
  await s3.send(new aws.PutObjectCommand({ Bucket, Key: "a/ü b", Body: content, Metadata: { colour: "blue" } }));
  assert.deepEqual(fs.readFileSync(path.join(mount, Bucket, "a/ü b")), content);
  const got = await s3.send(new aws.GetObjectCommand({ Bucket, Key: "a/ü b" }));
  assert.deepEqual(Buffer.from(await got.Body.transformToByteArray()), content);
  assert.equal(got.Metadata.colour, "blue");

  const { UploadId } = await s3.send(new aws.CreateMultipartUploadCommand({ Bucket, Key: "parts" }));
  const bodies = [crypto.randomBytes(5 * 1024 * 1024), crypto.randomBytes(99)];
  const Parts = [];
  for (const [at, Body] of bodies.entries()) {
    const sent = await s3.send(new aws.UploadPartCommand({ Bucket, Key: "parts", UploadId, PartNumber: at + 1, Body }));
    Parts.push({ PartNumber: at + 1, ETag: sent.ETag });
  }
  await s3.send(new aws.CompleteMultipartUploadCommand({ Bucket, Key: "parts", UploadId, MultipartUpload: { Parts } }));
  assert.deepEqual(fs.readFileSync(path.join(mount, Bucket, "parts")), Buffer.concat(bodies));

  const listed = await s3.send(new aws.ListObjectsV2Command({ Bucket, Delimiter: "/" }));
  assert.deepEqual(listed.CommonPrefixes.map((each) => each.Prefix), ["a/"]);
  assert.deepEqual(listed.Contents.map((each) => each.Key), ["parts"]);
  const Objects = [{ Key: "a/ü b" }, { Key: "parts" }];
  await s3.send(new aws.DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
  await s3.send(new aws.DeleteBucketCommand({ Bucket }));
  assert(!fs.existsSync(path.join(mount, Bucket)));
}

async function withMinio() {
  const client = new minio.Client({
    endPoint: url.hostname,
    port: Number(url.port),
    useSSL: false,
    accessKey: credentials.accessKeyId,
    secretKey: credentials.secretAccessKey,
  });
  const bucket = "from-minio";
  const content = crypto.randomBytes(200_000);
  await client.makeBucket(bucket);
  await client.putObject(bucket, "deep/er/file", content, content.length, { "Content-Type": "text/x-mine" });
  assert.deepEqual(fs.readFileSync(path.join(mount, bucket, "deep/er/file")), content);
  assert.equal((await client.statObject(bucket, "deep/er/file")).metaData["content-type"], "text/x-mine");
  const chunks = [];
  for await (const chunk of await client.getObject(bucket, "deep/er/file")) chunks.push(chunk);
  assert.deepEqual(Buffer.concat(chunks), content);
  const link = await client.presignedGetObject(bucket, "deep/er/file", 60);
  assert.deepEqual(Buffer.from(await (await fetch(link)).arrayBuffer()), content);
  const keys = [];
  for await (const item of client.listObjectsV2(bucket, "", true)) keys.push(item.name);
  assert.deepEqual(keys, ["deep/er/file"]);
  await client.removeObject(bucket, "deep/er/file");
  await client.removeBucket(bucket);
}

withSdk()
  .then(withMinio)
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
