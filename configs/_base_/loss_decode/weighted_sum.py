# Cross-entropy and Jaccard, the recipe of the JDT papers, logged as one number.
loss_decode = [
    dict(
        type='WeightedSumLoss',
        losses=[
            dict(type='WeightedCrossEntropyLoss', ignore_index=255),
            dict(type='JaccardMetricLoss', ignore_index=255),
        ],
        weights=[0.25, 0.75],
    )
]
