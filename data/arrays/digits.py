"""The built-in data set: scikit-learn's 1,797 scanned digits, for smoke runs and tests only."""

import numpy as np

from data.arrays.imageset import ImageSet, canonical

TRAIN, TEST = 1_500, 297


def build() -> ImageSet:
    """Build the set: 8 x 8 scans with 17 grey levels, enlarged to 16 x 16 x 3; the last 297 in hash
    order are the test images."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    levels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    images = levels.repeat(2, axis=1).repeat(2, axis=2)[..., None].repeat(3, axis=3)
    labels = bunch.target.astype(np.int64)
    whole = canonical(
        ImageSet("digits", images, labels, images[:0], labels[:0], tuple(map(str, range(10))))
    )
    x, y = whole.train_images, whole.train_labels
    cut = len(x) - TEST
    return ImageSet(whole.name, x[:cut], y[:cut], x[cut:], y[cut:], whole.classes)
