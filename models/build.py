"""The way to every network: a spec goes in, a module with one forward() comes out, for image and text alike."""

from dataclasses import replace

from models.head import TwoLevels
from models.spec import CannotBuild, Classifier, ModelSpec


def build_model(spec: ModelSpec) -> Classifier:
    """Build the network on the CPU in float32. What it draws at random comes from torch's generator, so seed that first.

    Raises WeightsNotFound when pretrained weights (or a text backbone's config) are nowhere, WeightsUnreadable when they are
    damaged, CannotBuild when the backbone does not take the settings. Only the library of the backbone is imported.
    """
    if spec.pretrained and not spec.backbone.has_pretrained:
        fix = "set model.pretrained=false, or choose a pretrained backbone"
        raise CannotBuild("{backbone} has no pretrained weights", fix, backbone=spec.backbone.name)
    levels = TwoLevels(spec.coarse) if spec.coarse else None
    if levels is not None:
        spec = replace(spec, n_outputs=levels.n_coarse + spec.n_outputs)
    if spec.backbone.modality == "image":
        from models.image import build_image_model

        model = build_image_model(spec)
    else:
        from models.text import build_text_model

        model = build_text_model(spec)
    model.two_levels = levels
    return model
