"""Every loss by its name, with PyTorch alone: ``mmseg_plugin.losses.JaccardMetricLoss``, and the rest of the spec's."""

from mmseg_plugin.losses.boundary.active_boundary import ActiveBoundaryLoss
from mmseg_plugin.losses.boundary.boundary_aware import BoundaryAwareLoss
from mmseg_plugin.losses.boundary.boundary_dou import BoundaryDoULoss
from mmseg_plugin.losses.boundary.centerline_dice import CenterlineDiceLoss
from mmseg_plugin.losses.boundary.conditional_boundary import ConditionalBoundaryLoss
from mmseg_plugin.losses.boundary.hausdorff_distance import HausdorffDistanceLoss
from mmseg_plugin.losses.boundary.inverse_form import InverseFormLoss
from mmseg_plugin.losses.boundary.pixel_triplet import PixelTripletLoss
from mmseg_plugin.losses.boundary.region_wise import RegionWiseLoss
from mmseg_plugin.losses.boundary.surface import SurfaceLoss
from mmseg_plugin.losses.boundary.topology_aware_focal import TopologyAwareFocalLoss
from mmseg_plugin.losses.compound.combo import ComboLoss
from mmseg_plugin.losses.compound.exponential_logarithmic import ExponentialLogarithmicLoss
from mmseg_plugin.losses.compound.unified_focal import UnifiedFocalLoss
from mmseg_plugin.losses.compound.weighted_sum import WeightedSumLoss
from mmseg_plugin.losses.pixel.distance_map_cross_entropy import DistanceMapCrossEntropyLoss
from mmseg_plugin.losses.pixel.distillation_kl import DistillationKLLoss
from mmseg_plugin.losses.pixel.feature_distance import FeatureDistanceLoss
from mmseg_plugin.losses.pixel.focal_cross_entropy import FocalCrossEntropyLoss
from mmseg_plugin.losses.pixel.ohem_cross_entropy import OhemCrossEntropyLoss
from mmseg_plugin.losses.pixel.pixel_contrast import PixelContrastLoss
from mmseg_plugin.losses.pixel.semantic_encoding import SemanticEncodingLoss
from mmseg_plugin.losses.pixel.top_k_cross_entropy import TopKCrossEntropyLoss
from mmseg_plugin.losses.pixel.weighted_cross_entropy import WeightedCrossEntropyLoss
from mmseg_plugin.losses.region.focal_tversky import FocalTverskyLoss
from mmseg_plugin.losses.region.generalized_dice import GeneralizedDiceLoss
from mmseg_plugin.losses.region.generalized_wasserstein_dice import GeneralizedWassersteinDiceLoss
from mmseg_plugin.losses.region.jdt import CompatibleTverskyLoss, DiceSemimetricLoss, JaccardMetricLoss
from mmseg_plugin.losses.region.log_cosh_dice import LogCoshDiceLoss
from mmseg_plugin.losses.region.lovasz import LovaszHingeLoss, LovaszSoftmaxLoss
from mmseg_plugin.losses.region.region_mutual_information import RegionMutualInformationLoss
from mmseg_plugin.losses.region.robust_t import RobustTLoss
from mmseg_plugin.losses.region.sensitivity_specificity import SensitivitySpecificityLoss
from mmseg_plugin.losses.region.soft_overlap import SoftDiceLoss, SoftJaccardLoss, SoftTverskyLoss

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
    'LovaszHingeLoss',
    'LovaszSoftmaxLoss',
    'OhemCrossEntropyLoss',
    'PixelContrastLoss',
    'PixelTripletLoss',
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
