// npm install @grpc/grpc-js@1 @grpc/proto-loader@0.8 && node recommend.mjs protos
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const options = { includeDirs: process.argv.slice(2), enums: String, defaults: true };
const definition = loader.loadSync("longtail/v1/recommendation_service.proto", options);
const { RecommendationService } = grpc.loadPackageDefinition(definition).longtail.v1;
const address = process.env.LONGTAIL_SERVER_ADDRESS ?? "127.0.0.1:50051";
const client = new RecommendationService(address, grpc.credentials.createInsecure());

const request = { query: "space adventure with robots", pageSize: 5, longTail: { strength: 0.5 } };
client.recommend(request, { deadline: Date.now() + 5000 }, (error, answer) => {
  if (error) throw error;
  for (const { rank, title, bucket } of answer.results) console.log(rank, title, bucket);
  client.close();
});
