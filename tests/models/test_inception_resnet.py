from vitripick.models import build_detector, describe


def test_the_features_are_those_of_the_publication():
    """Szegedy et al. 2017: Inception-ResNet-v2 has 5 blocks A, 10 B, 5 C, with two reductions between them."""
    layers = {layer.name: layer for layer in describe("inception_resnet").layers}
    ends = {f"a{i}.linear": (384, 128, 128) for i in range(1, 6)}
    ends |= {f"b{i}.linear": (1152, 64, 64) for i in range(1, 11)}
    ends |= {f"c{i}.linear": (2144, 32, 32) for i in range(1, 6)}
    assert {name: layer.output for name, layer in layers.items() if name.endswith("linear")} == ends


def test_each_stage_brings_the_channels_of_the_figures():
    layers = describe("inception_resnet").layers

    def filters(part):
        return [layer.filters for layer in layers if layer.name.split(".")[0] == part and layer.filters]

    assert filters("stem") == [32, 32, 64, 96, 64, 96, 64, 64, 64, 96, 192]
    assert filters("a1") == [32, 32, 32, 32, 48, 64, 384]
    assert filters("reduction_a") == [384, 256, 256, 384]
    assert filters("b1") == [192, 128, 160, 192, 1152]
    assert filters("reduction_b") == [256, 384, 256, 288, 256, 288, 320]
    assert filters("c1") == [192, 192, 224, 256, 2144]


def test_head_and_loss_are_those_of_the_papers_network():
    yolo, inception = build_detector("yolo"), build_detector("inception_resnet")
    assert type(yolo) is type(inception)
    assert inception.head[1].out_channels == 6
