"""The way to every network: a spec goes in, a module with one forward() comes out, for image and text alike."""

from dataclasses import replace

from models.head import TwoLevels
from models.levels import SeparateLevels, output_sizes
from models.spec import BackboneClassifier, CannotBuild, Classifier, ModelSpec


def build_model(spec: ModelSpec) -> Classifier:
    """Build the network on the CPU in float32. What it draws at random comes from torch's generator, so seed that first.

    Raises WeightsNotFound when pretrained weights (or a text backbone's config) are nowhere, WeightsUnreadable when they are
    damaged, CannotBuild when the backbone does not take the settings. Only the library of the backbone is imported.
    """
    if spec.pretrained and not spec.backbone.has_pretrained:
        fix = "set model.pretrained=false, or choose a pretrained backbone"
        raise CannotBuild("{backbone} has no pretrained weights", fix, backbone=spec.backbone.name)
    if spec.coarse and spec.is_separate:
        return SeparateLevels([_one(replace(spec, n_outputs=n, coarse=())) for n in output_sizes(spec.coarse)], spec.coarse)
    if not spec.coarse:
        return _one(spec)
    levels = TwoLevels(spec.coarse)
    model = _one(replace(spec, n_outputs=levels.n_coarse + spec.n_outputs))
    model.two_levels = levels
    return model


def _one(spec: ModelSpec) -> BackboneClassifier:
    """One backbone with one head of `n_outputs`."""
    if spec.backbone.modality == "image":
        from models.image import build_image_model

        return build_image_model(spec)
    from models.text import build_text_model

    return build_text_model(spec)
