/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * reply.h - the answers that the proxy gives itself
 */
#ifndef STANDIN_L7_REPLY_H
#define STANDIN_L7_REPLY_H

/* Place of a status in px_cfg->errorfile, or -1: not one that is answered here. */
int reply_index(int status);
/* Sentence for the body of a built-in answer, or NULL. */
const char *reply_text(int status);

#endif
