"""The role that each method needs: the one table of who may do what."""

from longtail.runtime.identity import Role

_REFLECTION = "ServerReflection/ServerReflectionInfo"

_METHODS = {
    Role.READ: (
        "RecommendationService/Recommend",
        "RecommendationService/BatchRecommend",
        "RecommendationService/CompareRecommendations",
        "RecommendationService/ExplainItem",
        "ItemService/GetItem",
        "ItemService/BatchGetItems",
        "ItemService/ListItems",
        "ItemService/ExportItems",
        "InsightService/GetCatalogStats",
        "InsightService/GetExposureReport",
        "InsightService/GetItemPopularity",
        "AdminService/GetServerInfo",
        "AdminService/ListVectorSpaces",
    ),
    Role.WRITE: (
        "ItemService/BatchUpsertItems",
        "ItemService/UpdateItem",
        "ItemService/ImportItems",
        "ItemService/DeleteItem",
        "ItemService/BatchDeleteItems",
        "InteractionService/WriteInteractions",
        "InteractionService/ImportInteractions",
        "InteractionService/RecordImpressions",
    ),
    # Whoever writes items does not release them.
    Role.REVIEW: (
        "ReviewService/ListReviewQueue",
        "ReviewService/DecideItems",
        "ReviewService/ListDecisions",
    ),
    Role.ADMIN: (
        # What one person did.
        "InteractionService/ListInteractions",
        "InteractionService/DeleteUserData",
        "AdminService/RebuildIndex",
        "AdminService/GetOperation",
        "AdminService/CreateSnapshot",
        "AdminService/ListSnapshots",
        "AdminService/VerifySnapshot",
        "AdminService/DeleteSnapshot",
        "AdminService/CreateVectorSpace",
        "AdminService/DeleteVectorSpace",
    ),
}
ROLES = {
    **{f"/longtail.v1.{name}": role for role, names in _METHODS.items() for name in names},
    f"/grpc.reflection.v1.{_REFLECTION}": Role.READ,
    f"/grpc.reflection.v1alpha.{_REFLECTION}": Role.READ,
}
