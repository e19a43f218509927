"""The language model that was set, as what asks it wants it."""

from __future__ import annotations

import os

from records.analyse.budget import Price
from records.analyse.provider import ProviderSettings
from sagacity.role_settings import ProviderAccess


def provider_settings(access: ProviderAccess) -> ProviderSettings:
    price = Price(access.input_price, access.output_price)
    return ProviderSettings(
        access.url,
        access.model,
        os.environ.get(access.key_variable, ""),
        {access.model: price},
        access.currency,
        access.per_day,
        access.per_record,
    )
