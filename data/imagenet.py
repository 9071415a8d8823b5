"""ImageNet (ILSVRC 2012 classification): what is known of it; its reader is not written yet."""

TRAIN = 1_281_167
ABSENT = (
    "imagenet: its rows are described (PLAN=1), but this version cannot read its folder tree yet.\n"
    "Choose a row of a CIFAR or SVHN table."
)
