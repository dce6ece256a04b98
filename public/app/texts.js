/** Every visible text of the page: one file for each screen, and one for what they share. */

import { customers } from "/app/texts/customers.js";
import { overview } from "/app/texts/overview.js";
import { shared } from "/app/texts/shared.js";
import { work } from "/app/texts/work.js";

export const texts = { ...shared, customers, overview, work };
