"""What is publicly known about models: dated prices, windows, capabilities and benchmark figures."""

from optimizer.catalog.catalog import Catalog, data_folder, load_catalog
from optimizer.catalog.models import Model
from optimizer.catalog.prices import PriceChange

__all__ = ["Catalog", "Model", "PriceChange", "data_folder", "load_catalog"]
