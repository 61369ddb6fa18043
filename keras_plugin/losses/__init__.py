"""Every loss by its name: ``keras_plugin.losses.JaccardMetricLoss`` and the rest of ``shared_spec.LOSSES``."""

from keras_plugin.losses.base import Loss, PixelLoss, RegionLoss
from keras_plugin.losses.boundary.active_boundary import ActiveBoundaryLoss
from keras_plugin.losses.boundary.boundary_aware import BoundaryAwareLoss
from keras_plugin.losses.boundary.boundary_dou import BoundaryDoULoss
from keras_plugin.losses.boundary.centerline_dice import CenterlineDiceLoss
from keras_plugin.losses.boundary.conditional_boundary import ConditionalBoundaryLoss
from keras_plugin.losses.boundary.hausdorff_distance import HausdorffDistanceLoss
from keras_plugin.losses.boundary.inverse_form import InverseFormLoss
from keras_plugin.losses.boundary.pixel_triplet import PixelTripletLoss
from keras_plugin.losses.boundary.region_wise import RegionWiseLoss
from keras_plugin.losses.boundary.surface import SurfaceLoss
from keras_plugin.losses.boundary.topology_aware_focal import TopologyAwareFocalLoss
from keras_plugin.losses.compound.combo import ComboLoss
from keras_plugin.losses.compound.exponential_logarithmic import ExponentialLogarithmicLoss
from keras_plugin.losses.compound.unified_focal import UnifiedFocalLoss
from keras_plugin.losses.compound.weighted_sum import WeightedSumLoss
from keras_plugin.losses.pixel.distance_map_cross_entropy import DistanceMapCrossEntropyLoss
from keras_plugin.losses.pixel.distillation_kl import DistillationKLLoss
from keras_plugin.losses.pixel.feature_distance import FeatureDistanceLoss
from keras_plugin.losses.pixel.focal_cross_entropy import FocalCrossEntropyLoss
from keras_plugin.losses.pixel.ohem_cross_entropy import OhemCrossEntropyLoss
from keras_plugin.losses.pixel.pixel_contrast import PixelContrastLoss
from keras_plugin.losses.pixel.semantic_encoding import SemanticEncodingLoss
from keras_plugin.losses.pixel.top_k_cross_entropy import TopKCrossEntropyLoss
from keras_plugin.losses.pixel.weighted_cross_entropy import WeightedCrossEntropyLoss
from keras_plugin.losses.region.focal_tversky import FocalTverskyLoss
from keras_plugin.losses.region.generalized_dice import GeneralizedDiceLoss
from keras_plugin.losses.region.generalized_wasserstein_dice import GeneralizedWassersteinDiceLoss
from keras_plugin.losses.region.jdt import CompatibleTverskyLoss, DiceSemimetricLoss, JaccardMetricLoss
from keras_plugin.losses.region.log_cosh_dice import LogCoshDiceLoss
from keras_plugin.losses.region.lovasz import LovaszHingeLoss, LovaszSoftmaxLoss
from keras_plugin.losses.region.region_mutual_information import RegionMutualInformationLoss
from keras_plugin.losses.region.robust_t import RobustTLoss
from keras_plugin.losses.region.sensitivity_specificity import SensitivitySpecificityLoss
from keras_plugin.losses.region.soft_overlap import SoftDiceLoss, SoftJaccardLoss, SoftTverskyLoss

__all__ = [
    'ActiveBoundaryLoss',
    'BoundaryAwareLoss',
    'BoundaryDoULoss',
    'CenterlineDiceLoss',
    'ComboLoss',
    'CompatibleTverskyLoss',
    'ConditionalBoundaryLoss',
    'DiceSemimetricLoss',
    'DistanceMapCrossEntropyLoss',
    'DistillationKLLoss',
    'ExponentialLogarithmicLoss',
    'FeatureDistanceLoss',
    'FocalCrossEntropyLoss',
    'FocalTverskyLoss',
    'GeneralizedDiceLoss',
    'GeneralizedWassersteinDiceLoss',
    'HausdorffDistanceLoss',
    'InverseFormLoss',
    'JaccardMetricLoss',
    'LogCoshDiceLoss',
    'Loss',
    'LovaszHingeLoss',
    'LovaszSoftmaxLoss',
    'OhemCrossEntropyLoss',
    'PixelContrastLoss',
    'PixelLoss',
    'PixelTripletLoss',
    'RegionLoss',
    'RegionMutualInformationLoss',
    'RegionWiseLoss',
    'RobustTLoss',
    'SemanticEncodingLoss',
    'SensitivitySpecificityLoss',
    'SoftDiceLoss',
    'SoftJaccardLoss',
    'SoftTverskyLoss',
    'SurfaceLoss',
    'TopKCrossEntropyLoss',
    'TopologyAwareFocalLoss',
    'UnifiedFocalLoss',
    'WeightedCrossEntropyLoss',
    'WeightedSumLoss',
]
