# SPDX-License-Identifier: GPL-3.0-or-later
"""
@article{Wagner2019,
  title   = {{SPHIRE-crYOLO} is a fast and accurate fully automated particle picker for cryo-{EM}},
  author  = {Wagner, Thorsten and Merino, Felipe and Stabrin, Markus and Moriya, Toshio and Antoni, Claudia and
             Apelbaum, Amir and Hagel, Philine and Sitsel, Oleg and Raisch, Tobias and Prumbaum, Daniel and
             Quentin, Dennis and Roderer, Daniel and Tacke, Sebastian and Siebolds, Birte and Schubert, Evelyn and
             Shaikh, Tanvir R. and Lill, Pascal and Gatsogiannis, Christos and Raunser, Stefan},
  journal = {Communications Biology},
  volume  = {2},
  pages   = {218},
  year    = {2019},
  doi     = {https://doi.org/10.1038/s42003-019-0437-z}
}
"""
