"""What names of MMSegmentation mean that a configuration leaves unsaid; tests hold it against the installed version."""

LOSSES = frozenset(
    'BoundaryLoss CrossEntropyLoss DiceLoss FocalLoss HuasdorffDisstanceLoss KLDivLoss LovaszLoss OhemCrossEntropy SiLogLoss '
    'TverskyLoss'.split()
)
METRICS = frozenset(('IoUMetric', 'CityscapesMetric', 'DepthMetric'))

# Heads whose losses are the sum over loss_decode, each of logits and label map.
SUMMING_HEADS = frozenset(
    'ANNHead APCHead ASPPHead CCHead DMHead DNLHead DPTHead DepthwiseSeparableASPPHead DepthwiseSeparableFCNHead EMAHead '
    'FCNHead FPNHead GCHead ISAHead LRASPPHead LightHamHead NLHead OCRHead PSAHead PSPHead SETRMLAHead SETRUPHead '
    'SegformerHead SegmenterMaskTransformerHead UPerHead'.split()
)

# Heads that do that, and more.
REMARKS = {
    'EncHead': 'EncHead adds loss_se_decode, a loss on which classes an image holds, which is no loss on pixels: it is left '
    'out (use_se_loss=False of the head does without it)',
    'DAHead': 'DAHead takes its losses three times, of the sum and of each of its two attention outputs',
    'IterativeDecodeHead': 'IterativeDecodeHead takes the losses of its kernel_generate_head once for every stage',
}

# Heads whose losses are no sum over logits and label map.
INDEXED = 'indexes its loss_decode, one loss for each of its outputs, so the list is no sum on one prediction'
MATCHED = 'matches queries with the masks of an image, and its losses are on the matched pairs, not on the label map'
REFUSED = {
    'PIDHead': INDEXED,
    'DDRHead': INDEXED,
    'Mask2FormerHead': MATCHED,
    'MaskFormerHead': MATCHED,
    'SideAdapterCLIPHead': MATCHED,
    'PointHead': 'takes its losses at sampled points, not on the label map',
    'STDCHead': 'takes its losses on the edges of the label map, not on its classes',
    'VPDDepthHead': 'predicts depth, and its losses are on depth',
}

# Data sets with the reduce_zero_label that they have where none is given.
REDUCE_ZERO_LABEL = {
    **dict.fromkeys('ADE20KDataset ISPRSDataset LoveDADataset PascalContextDataset59 PotsdamDataset'.split(), True),
    **dict.fromkeys(
        (
            'BDD100KDataset BaseCDDataset BaseSegDataset COCOStuffDataset ChaseDB1Dataset CityscapesDataset CustomDataset '
            'DRIVEDataset DSDLSegDataset DarkZurichDataset DecathlonDataset HRFDataset LEVIRCDDataset LIPDataset '
            'MapillaryDataset_v1 MapillaryDataset_v2 NYUDataset NightDrivingDataset PascalContextDataset PascalVOCDataset '
            'REFUGEDataset STAREDataset SynapseDataset iSAIDDataset'
        ).split(),
        False,
    ),
}
WRAPPERS = ('RepeatDataset', 'ConcatDataset', 'ClassBalancedDataset', 'MultiImageMixDataset')

IGNORE_INDEX = 255  # of heads, data sets and evaluators
THRESHOLD = 0.3  # of a head with one channel that names none
DEFAULT_LOSS = {'use_sigmoid': False, 'loss_weight': 1.0}  # of CrossEntropyLoss, of a head without loss_decode

OLD_KEYS = ('evaluation', 'data', 'optimizer', 'lr_config', 'checkpoint_config', 'runner', 'total_iters')
NEW_KEYS = (
    'val_evaluator',
    'test_evaluator',
    'train_dataloader',
    'val_dataloader',
    'optim_wrapper',
    'param_scheduler',
    'default_scope',
)
