"""Types of layers of forks that are not known here."""

from __future__ import annotations

_TYPES = {
    "MS-CNN and Cascade R-CNN (zhaoweicai)": "ImageGtData DetectionData EvalData HardMining",
    "the YOLO forks (choasup, eric612)": "BoxData LaneData AssistedExcitation",
    "SegNet's and ENet's fork": "DenseImageData",
    "PSPNet's fork (hszhao)": "ImageSegData BiasChannel AdaptiveBiasChannel DenseCRF "
    "DomainTransform MatRead MatWrite UniqueLabel",
    "the fork of C3D (facebook)": "VoxelCustomLoss "
    "VolumeData VideoSegmentationData VideoWithVoxelTruthData DownSampling",
    "FlowNet 2's fork (lmb-freiburg)": "Accum CustomData DataAugmentation FlowAugmentation "
    "FlowWarp GenerateAugmentationParameters Correlation1D "
    "ImgReader FLOWriter FloData BlackAugmentation",
    "happynear's fork": "GeneralTripletLoss LabelSpecificRescale LabelSpecificMargin "
    "GlobalLSEMargin",
    "NVCaffe": "TRT",
    "the forks with Warp-CTC": "CTCDecoder CTCBeamSearchDecoder",
    "yjxiong's fork": "SegData BatchReduction",
}
TYPES = {name: fork for fork, names in _TYPES.items() for name in names.split()}
"""A type of layer that is not known here, to the fork that it is of."""
