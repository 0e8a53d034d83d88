"""All publications that tighten names, and how docstrings lead to them.

Each set, method and rule says its source once, under `Source:` in its docstring. What is said there is looked up here.
"""

from __future__ import annotations

import inspect
import re

from tighten.citing.reference import Reference

_SOURCE = re.compile(r"^Source: (.*?)(?:\n\s*\n|\n\w+:|\Z)", re.DOTALL | re.MULTILINE)

REFERENCES = (
    Reference(
        "ye2019progressive",
        ("1903.09769",),
        "Progressive DNN Compression: A Key to Achieve Ultra-High Weight Pruning and Quantization Rates using ADMM",
        ("Shaokai Ye", "Xiaoyu Feng", "Tianyun Zhang", "Xiaolong Ma", "Sheng Lin", "Zhengang Li", "Kaidi Xu",
         "Wujie Wen", "Sijia Liu", "Jian Tang", "Makan Fardad", "Xue Lin", "Yongpan Liu", "Yanzhi Wang"),
        2019,
        arxiv="1903.09769",
    ),
    Reference(
        "boyd2011admm",
        ("Boyd et al. (2011)",),
        "Distributed Optimization and Statistical Learning via the Alternating Direction Method of Multipliers",
        ("Stephen Boyd", "Neal Parikh", "Eric Chu", "Borja Peleato", "Jonathan Eckstein"),
        2011,
        "Foundations and Trends in Machine Learning 3(1), 1-122",
    ),
    Reference(
        "zhou2017inq",
        ("1702.03044",),
        "Incremental Network Quantization: Towards Lossless CNNs with Low-Precision Weights",
        ("Aojun Zhou", "Anbang Yao", "Yiwen Guo", "Lin Xu", "Yurong Chen"),
        2017,
        "International Conference on Learning Representations",
        "1702.03044",
        "inproceedings",
    ),
    Reference(
        "li2016ternary",
        ("1605.04711",),
        "Ternary Weight Networks",
        ("Fengfu Li", "Bo Zhang", "Bin Liu"),
        2016,
        arxiv="1605.04711",
    ),
    Reference(
        "evci2020rigging",
        ("1911.11134",),
        "Rigging the Lottery: Making All Tickets Winners",
        ("Utku Evci", "Trevor Gale", "Jacob Menick", "Pablo Samuel Castro", "Erich Elsen"),
        2020,
        "International Conference on Machine Learning",
        "1911.11134",
        "inproceedings",
    ),
    Reference(
        "zhang2018structadmm",
        ("1807.11091",),
        "StructADMM: A Systematic, High-Efficiency Framework of Structured Weight Pruning for DNNs",
        ("Tianyun Zhang", "Shaokai Ye", "Kaiqi Zhang", "Xiaolong Ma", "Ning Liu", "Linfeng Zhang", "Jian Tang",
         "Kaisheng Ma", "Xue Lin", "Makan Fardad", "Yanzhi Wang"),
        2018,
        arxiv="1807.11091",
    ),
    Reference(
        "han2016deep",
        ("1510.00149",),
        "Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and Huffman Coding",
        ("Song Han", "Huizi Mao", "William J. Dally"),
        2016,
        "International Conference on Learning Representations",
        "1510.00149",
        "inproceedings",
    ),
    Reference(
        "rastegari2016xnor",
        ("1603.05279",),
        "XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks",
        ("Mohammad Rastegari", "Vicente Ordonez", "Joseph Redmon", "Ali Farhadi"),
        2016,
        "European Conference on Computer Vision",
        "1603.05279",
        "inproceedings",
    ),
    Reference(
        "mishra2021sparse",
        ("2104.08378",),
        "Accelerating Sparse Deep Neural Networks",
        ("Asit Mishra", "Jorge Albericio Latorre", "Jeff Pool", "Darko Stosic", "Dusan Stosic", "Ganesh Venkatesh",
         "Chong Yu", "Paulius Micikevicius"),
        2021,
        arxiv="2104.08378",
    ),
    Reference(
        "leng2018extremely",
        ("1707.09870",),
        "Extremely Low Bit Neural Network: Squeeze the Last Bit Out with ADMM",
        ("Cong Leng", "Hao Li", "Shenghuo Zhu", "Rong Jin"),
        2018,
        "AAAI Conference on Artificial Intelligence",
        "1707.09870",
        "inproceedings",
    ),
    Reference(
        "lecun1989brain",
        ("Optimal Brain Damage",),
        "Optimal Brain Damage",
        ("Yann LeCun", "John S. Denker", "Sara A. Solla"),
        1989,
        "Advances in Neural Information Processing Systems 2",
        kind="inproceedings",
    ),
    Reference(
        "theis2018faster",
        ("1801.05787",),
        "Faster gaze prediction with dense networks and Fisher pruning",
        ("Lucas Theis", "Iryna Korshunova", "Alykhan Tejani", "Ferenc Huszár"),
        2018,
        arxiv="1801.05787",
    ),
    Reference(
        "lee2021lamp",
        ("2010.07611",),
        "Layer-adaptive Sparsity for the Magnitude-based Pruning",
        ("Jaeho Lee", "Sejun Park", "Sangwoo Mo", "Sungsoo Ahn", "Jinwoo Shin"),
        2021,
        "International Conference on Learning Representations",
        "2010.07611",
        "inproceedings",
    ),
    Reference(
        "bengio2013estimating",
        ("1308.3432",),
        "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional Computation",
        ("Yoshua Bengio", "Nicholas Léonard", "Aaron Courville"),
        2013,
        arxiv="1308.3432",
    ),
    Reference(
        "courbariaux2015binaryconnect",
        ("1511.00363",),
        "BinaryConnect: Training Deep Neural Networks with binary weights during propagations",
        ("Matthieu Courbariaux", "Yoshua Bengio", "Jean-Pierre David"),
        2015,
        "Advances in Neural Information Processing Systems 28",
        "1511.00363",
        "inproceedings",
    ),
    Reference(
        "shoham1988efficient",
        ("Shoham and Gersho",),
        "Efficient bit allocation for an arbitrary set of quantizers",
        ("Yair Shoham", "Allen Gersho"),
        1988,
        "IEEE Transactions on Acoustics, Speech, and Signal Processing 36(9), 1445-1453",
    ),
    Reference(
        "wang2011ckmeans",
        ("Ckmeans.1d.dp",),
        "Ckmeans.1d.dp: Optimal k-means Clustering in One Dimension by Dynamic Programming",
        ("Haizhou Wang", "Mingzhou Song"),
        2011,
        "The R Journal 3(2), 29-33",
    ),
    Reference(
        "hinton2015distilling",
        ("1503.02531",),
        "Distilling the Knowledge in a Neural Network",
        ("Geoffrey Hinton", "Oriol Vinyals", "Jeff Dean"),
        2015,
        arxiv="1503.02531",
    ),
    Reference(
        "izmailov2018averaging",
        ("1803.05407",),
        "Averaging Weights Leads to Wider Optima and Better Generalization",
        ("Pavel Izmailov", "Dmitrii Podoprikhin", "Timur Garipov", "Dmitry Vetrov", "Andrew Gordon Wilson"),
        2018,
        "Conference on Uncertainty in Artificial Intelligence",
        "1803.05407",
        "inproceedings",
    ),
    Reference(
        "lecun1998gradient",
        ("Gradient-based learning applied to document recognition",),
        "Gradient-based learning applied to document recognition",
        ("Yann LeCun", "Léon Bottou", "Yoshua Bengio", "Patrick Haffner"),
        1998,
        "Proceedings of the IEEE 86(11), 2278-2324",
    ),
    Reference(
        "he2016deep",
        ("Deep residual learning for image recognition", "1512.03385"),
        "Deep Residual Learning for Image Recognition",
        ("Kaiming He", "Xiangyu Zhang", "Shaoqing Ren", "Jian Sun"),
        2016,
        "IEEE Conference on Computer Vision and Pattern Recognition",
        "1512.03385",
        "inproceedings",
    ),
    Reference(
        "simonyan2015very",
        ("1409.1556",),
        "Very Deep Convolutional Networks for Large-Scale Image Recognition",
        ("Karen Simonyan", "Andrew Zisserman"),
        2015,
        "International Conference on Learning Representations",
        "1409.1556",
        "inproceedings",
    ),
    Reference(
        "li2017pruning",
        ("1608.08710",),
        "Pruning Filters for Efficient ConvNets",
        ("Hao Li", "Asim Kadav", "Igor Durdanovic", "Hanan Samet", "Hans Peter Graf"),
        2017,
        "International Conference on Learning Representations",
        "1608.08710",
        "inproceedings",
    ),
    Reference(
        "sandler2018mobilenetv2",
        ("1801.04381",),
        "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
        ("Mark Sandler", "Andrew Howard", "Menglong Zhu", "Andrey Zhmoginov", "Liang-Chieh Chen"),
        2018,
        "IEEE Conference on Computer Vision and Pattern Recognition",
        "1801.04381",
        "inproceedings",
    ),
    Reference(
        "torchvision2016",
        ("torchvision's reference training",),
        "TorchVision: PyTorch's Computer Vision library",
        ("TorchVision maintainers and contributors",),
        2016,
        "PyTorch project",
        kind="misc",
    ),
    Reference(
        "alpaydin1998digits",
        ("Alpaydin and Kaynak (1998)",),
        "Optical Recognition of Handwritten Digits",
        ("Ethem Alpaydin", "Cenk Kaynak"),
        1998,
        "UCI Machine Learning Repository",
        kind="misc",
    ),
    Reference(
        "krizhevsky2009learning",
        ("Learning multiple layers of features from tiny images",),
        "Learning multiple layers of features from tiny images",
        ("Alex Krizhevsky",),
        2009,
        "University of Toronto",
        kind="techreport",
    ),
)  # fmt: skip
"""In no particular order; a mark belongs to one of them."""


def source_of(thing: object) -> str:
    """What the docstring of a class or function says under `Source:`; empty where it says nothing."""
    found = _SOURCE.search(inspect.getdoc(thing) or "")
    return " ".join(found[1].split()) if found else ""


def cited_in(source: str) -> list[Reference]:
    """The references that a source names, in the order in which it does."""
    places = {r: min((source.find(mark) for mark in r.marks if mark in source), default=-1) for r in REFERENCES}
    return sorted((r for r, place in places.items() if place >= 0), key=places.__getitem__)
