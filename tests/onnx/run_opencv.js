// SPDX-License-Identifier: MIT
// run_opencv.js OPENCV MODEL.onnx INPUT FILE SIDE - the output of a network by OpenCV's dnn module.
// OPENCV is the folder of opencv-js-wasm (npm), INPUT and FILE are raw float32.
'use strict';
const fs = require('fs');
const [folder, model, input, file, side] = process.argv.slice(2);

(async () => {
  const cv = await require(folder)();
  const size = Number(side), plane = size * size;
  try {
    cv.FS_createDataFile('/', 'm.onnx', fs.readFileSync(model), true, false, false);
    const net = cv.readNetFromONNX('m.onnx');
    const raw = fs.readFileSync(input);
    const planes = new Float32Array(raw.buffer, raw.byteOffset, raw.byteLength / 4);
    const image = new cv.Mat(size, size, cv.CV_32FC3);
    for (let c = 0; c < 3; c++)
      for (let i = 0; i < plane; i++) image.data32F[i * 3 + c] = planes[c * plane + i];
    net.setInput(cv.blobFromImage(image, 1, new cv.Size(size, size), new cv.Scalar(0, 0, 0, 0), false, false, cv.CV_32F));
    fs.writeFileSync(file, Buffer.from(new Float32Array(net.forward().data32F).buffer));
    process.exit(0);
  } catch (e) {
    const text = typeof e === 'number' ? cv.exceptionFromPtr(e).msg : String(e.message || e);
    console.error(`${model}: ${text.split('\n')[0]}`);
    process.exit(1);
  }
})();
