// vklm/vklm.h: everything: LLM-jp and other Llama models on any Vulkan device.
//
//   engine   a loaded model: weights on a device                      vklm/engine.h
//   session  one timeline of tokens: append, sample, rewind            vklm/session.h
//   text     tokenizer, chat template, sampling; needs no device       vklm/text.h
//   device   the Vulkan devices of this machine                        vklm/device.h
//   status   how calls fail, and the log                               vklm/status.h
//
// Parents outlive children: sessions are destroyed before their engine is closed. An engine and its
// sessions are used by one thread at a time; different engines are independent.
#ifndef VKLM_VKLM_H
#define VKLM_VKLM_H

#include <vklm/convert.h>
#include <vklm/device.h>
#include <vklm/engine.h>
#include <vklm/session.h>
#include <vklm/status.h>
#include <vklm/text.h>

#endif
