"""The gRPC services: validate, ask the use case, fill the reply. Nothing else happens here."""
