/* service.h: the verb `floe service`. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOE_SERVICE_H
#define FLOE_SERVICE_H

int service_main(int argc, char **argv);

#endif
