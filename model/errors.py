"""What can go wrong between a DICOM file and a risk, each with a sentence that says what to do.

ModelError
├── PicturesUnusable     an image that cannot be decoded or turned into a picture
├── CheckpointBroken     weights or card that are missing, altered or of another format
├── CalibrationRefused   a site's calibration that is damaged, or was fitted for another model
├── AttributesBroken     a model's file of source attributes that is not complete, or of another model
├── ReleaseRefused       a published release that is not the one expected, or not safe to read
├── SelfCheckFailed      this machine does not compute what the model card promises
├── PrecisionNotChecked  a lower precision that was not found accurate enough for this model on this machine
└── DeviceNotUsable      a device that is not in this machine, or that torch cannot use

DeviceFault               a device that does not compute now: no fault of a model, an exam or a setting
├── DeviceBusy           its memory is taken
└── DeviceLost           it has failed, and computes no more in this process
"""


class ModelError(Exception):
    """Base of everything this package raises on purpose."""


class PicturesUnusable(ModelError):
    """An image cannot be turned into the network's input; the message is for a radiographer."""


class CheckpointBroken(ModelError):
    """A checkpoint is missing, altered or not understood; the message says which part."""


class CalibrationRefused(ModelError):
    """A site's calibration cannot be used: no score is made rather than one that is calibrated otherwise."""


class AttributesBroken(ModelError):
    """What a model's file tells of its source attributes cannot be shown: part of it would be missing, or another's."""


class ReleaseRefused(ModelError):
    """A file of a model release is not what it should be; nothing was installed and nothing of it was run."""


class SelfCheckFailed(ModelError):
    """The scores of the built-in exam differ from the model card: do not score patients here."""


class PrecisionNotChecked(ModelError):
    """No passing accuracy check is on record for this model, precision, device and torch: patients are not scored."""


class DeviceNotUsable(ModelError):
    """The device that was asked for is not there, or torch cannot use it."""


class DeviceFault(Exception):
    """A device does not compute now. A process that it ends may be started again, which a ModelError forbids."""


class DeviceBusy(DeviceFault):
    """The device has not the memory that is needed, for others have it, or too much is computed together."""


class DeviceLost(DeviceFault):
    """The device has failed (in CUDA such an error stays): whatever this process asks of it from now on fails, too."""
